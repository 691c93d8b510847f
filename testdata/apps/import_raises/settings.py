TEXT = "{not json"
