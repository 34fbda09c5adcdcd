"""What `import workbench` offers: studies planned, trained and asked from Python.

The command line answers through the same functions, so that there is one way to each number.
"""
