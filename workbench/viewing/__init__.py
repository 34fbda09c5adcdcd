"""What the pages of the app share: reading, choosing, drawing. The pages themselves are scripts in
`app/`; they add selection, and no science.
"""
