"""Questions about no passage: "summarise this page", "what can I ask?", "hello"."""

from __future__ import annotations

import re

# Only whole questions match: "summarise this page" does, "summarise the page's view of Kant" does not.
_THING = (
    "(?:library|libraries|pages?|docs?|documents?|files?|texts?|articles?|posts?|sources?|books?|papers?|notes"
    "|contents?|collection|website|site)"
)
_POINTING = r"(?:(?:all|of|the|my|your|this|that|these|those|whole|entire)\s+)*"
_LIBRARY = re.compile(
    rf"""
    ^(?:please\s+|can\s+you\s+|could\s+you\s+|would\s+you\s+)*(?:
        (?:summari[sz]e|sum\s+up|outline)(?:\s+(?:it|this|that|them|these|everything|all|{_POINTING}{_THING}))?
            (?:\s+for\s+me)?
        |(?:give|write|show|tell)\s+(?:me\s+)?(?:an?|the)\s+(?:short\s+|brief\s+|quick\s+)?(?:summary|overview|outline)
            (?:\s+of\s+(?:it|this|{_POINTING}{_THING}))?
        |(?:a\s+)?(?:short\s+|brief\s+)?(?:summary|overview)(?:\s+please)?
        |tl\s*;?\s*dr
        |what(?:'s|\s+is|\s+are|\s+was)?\s+(?:it|this|that|{_POINTING}{_THING})\s+(?:all\s+)?about
        |what\s+(?:does|do)\s+{_POINTING}{_THING}\s+(?:say|contain|cover|tell|hold)
        |what(?:'s|\s+is)\s+(?:there\s+)?in\s+{_POINTING}{_THING}
        |(?:what|which)\s+(?:sources|documents|pages|files|texts|topics|subjects|information|material)
            (?:\s+(?:do\s+you\s+(?:have|know|hold|cover)|are\s+(?:there|here|available|loaded|indexed)))?
        |what\s+(?:can|could|should|may)\s+(?:i|we)\s+ask(?:\s+(?:you|about|here|it))*
        |what\s+(?:do|can)\s+you\s+(?:know|tell\s+me|talk)(?:\s+about)?
    )[\s.?!]*$
    """,
    re.I | re.X,
)
_GREETING = re.compile(
    r"""
    ^(?:(?:hi|hello|hey|hallo|howdy|greetings|good\s+(?:morning|afternoon|evening|day|night)|thanks|thank\s+you|thx
        |cheers|ok|okay|great|cool|nice|perfect|bye|goodbye|see\s+you|how\s+are\s+you|who\s+are\s+you
        |what\s+are\s+you|what(?:'s|\s+is)\s+your\s+name|what\s+can\s+you\s+do|help)
     (?:\s+(?:there|you|very|so|a\s+lot|much|all|again|then|today|doing|me|to|for|the|help|your|that|it))*[\s,.?!]*)+$
    """,
    re.I | re.X,
)


def asks_about_library(question: str) -> bool:
    """Whether a question is about the library itself, such as "summarise this page" or "what is this about?"."""
    return bool(_LIBRARY.match(" ".join(question.split())))


def is_greeting(question: str) -> bool:
    """Whether a question only greets, thanks, or asks who answers."""
    return bool(_GREETING.match(question.strip()))
