"""What goes over the wire: text in, commands out. No I/O and no Django in here."""
