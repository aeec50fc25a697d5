"""Files of Office, LibreOffice and others become documents: texts, sheets, slides, RTF."""
