NAME = "first"
HEALTH = "200 OK"
