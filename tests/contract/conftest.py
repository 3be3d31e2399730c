# A package of its own, with its own tests: test_third_party.py installs it and runs them.
collect_ignore = ["example_plugin"]
