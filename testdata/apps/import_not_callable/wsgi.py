"""application is there but can't be called."""
application = "text"
