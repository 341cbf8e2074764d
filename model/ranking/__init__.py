"""Ranking items of a catalogue for a person: signals from behaviour and text, how they are weighed, what is tried out. No web, no log."""
