"""Objects of a PDF as a file, for pages that benchmarks and tests draw."""

from __future__ import annotations

from collections.abc import Sequence


def pdf_of(objects: Sequence[bytes], entries: str = "/Root 1 0 R") -> bytes:
    """The file with these objects, numbered from 1; `entries` stand in its trailer beside the number of objects."""
    data, starts = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        starts.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    count = len(objects) + 1
    end = b"trailer<<%s/Size %d>>\nstartxref\n%d\n%%%%EOF" % (entries.encode(), count, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % count + table + end
