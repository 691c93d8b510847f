"""an app that can't be imported: the traceback, and an exit code that is not 0"""
raise RuntimeError("hazard at import")
