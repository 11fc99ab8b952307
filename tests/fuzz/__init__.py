"""Every decoder of outside bytes, fed with anything: a corpus that is replayed, and a runner that searches on from it."""
