"""A DICOM node: series in by C-STORE or DICOMweb, synthetic series out to an archive."""
