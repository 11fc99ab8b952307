"""The audit: the journal in words, searched. Reads only; what it keeps beside the journal can be made anew from it."""
