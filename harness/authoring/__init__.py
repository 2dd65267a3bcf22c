"""What an editor's author uses: a template, the conformance checks, tuning."""
