"""Control: changes in Django, and orders of the site, reach the connections of all processes."""
