"""How the tables came to be, step by step. Run by `firsthand.state.database`, never by hand."""
