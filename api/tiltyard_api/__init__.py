"""The contract between the parts of Tiltyard: resources, plan, routing table, names, reasons.

Depends on pydantic and the standard library only, so that every part can import it.
"""
