"""Traces and reports, span by span and event by event, as exporters and transports get them."""
