"""Managing instances from outside, over HTTP: ``answers`` says what can be asked, ``serving`` is the door with its
token and bounds, ``openapi`` tells of it all. What is done is what the verbs do, by the same functions."""
