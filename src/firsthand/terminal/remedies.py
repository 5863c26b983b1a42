"""What to do about each reason, in one line. `docs/reasons.md` says the same at length; a test compares them."""

REMEDIES: dict[str, str] = {
    # held: it waits
    "waiting_for_id": "Nothing: it is sent without one when delivery.wait_for_id is over.",
    # filtered: we decided not to send
    "not_mapped": "Nothing, if the vendor has no use for it; else send it under a name from the vendor's event table.",
    "disabled_event": "Nothing, if it is meant so; else enable it under mapping.events, apply, then replay.",
    "integration_disabled": "Nothing, if it is meant so; else set enabled: true, apply, then replay.",
    "condition": "Nothing, if it is meant so; else change the `integrations` object where the event is made.",
    "consent_refused": "Nothing: the visitor said no, and we keep to it.",
    "consent_unknown": "Send context.consent with each event as soon as the visitor has answered.",
    "bot": "Nothing, if it is one; else send the visitor's own user agent in context.userAgent.",
    "too_old": "Send events sooner; the limits are max_age_online and max_age_offline in the integration's settings.",
    "no_counterpart": "Nothing: the vendor takes no such event.",
    "erased": "Nothing: the person asked to be forgotten.",
    "sampled": "Nothing: this integration takes only a sample of the events.",
    # dead: it could not be sent
    "field_missing": "Add it where the event is made, send a new event; if only a setting was wrong, then replay.",
    "field_invalid": "Correct it where it is made and send a new event; if only a setting was wrong, then replay.",
    "identity_missing": "Send what the vendor knows visitors by: an e-mail address, an id in context.ids, anonymousId.",
    "vendor_rejected": "Read the vendor's words in the trace, correct the settings or the events to come, then replay.",
    "vendor_ambiguous": "The answer is not the vendor's: look for a proxy or a wrong address on the way, then replay.",
    "auth_failed": "Renew the credentials and apply, or `firsthand integrations resume KEY`; replay what is dead.",
    "scope_denied": "Have the vendor allow it, then `firsthand integrations resume KEY`; replay what is dead.",
    "redirect_refused": "Check the integration's endpoints; if the vendor has moved, update Firsthand, then replay.",
    "attempts_exhausted": "When the vendor works again, replay; for longer outages raise delivery.max_age.",
    "outcome_unknown": "Look it up at the vendor, then replay: with --resend where it is missing there, else without.",
    "mapping_error": "A fault of ours: the log of serve has it. Report it, update, then replay.",
    "poison": "A fault of ours: the process died on this event. Report it with its trace, update, then replay.",
    "backlog_overflow": "Gone for this integration. Give log.max_bytes and log.max_age room for your longest outage.",
    "log_damaged": "Gone, and a sign of a failing disk: check it, and have the data folder on another one.",
}

REPLAYABLE = frozenset(code for code, remedy in REMEDIES.items() if "replay" in remedy)
"""Codes after which sending the same event again may help."""
