"""The playground: a page on which developers try the rooms of their site."""
