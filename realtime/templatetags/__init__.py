"""The template tags of this app: `{% load realtime %}`."""
