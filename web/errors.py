"""The only page that stands when the configuration is unusable (INV-146)."""

from collections.abc import Sequence

from flask import Flask, Response, render_template, request

from engine.findings import Finding
from web.app import hardened, json_response


def finding_view(finding: Finding) -> dict[str, str]:
    """A finding in texts."""
    names = ("field", "value", "allowed", "problem", "suggestion", "severity")
    return {name: str(getattr(finding, name)) for name in names}


def create_error_app(findings: Sequence[Finding]) -> Flask:
    """Answers everything with 503 and what is wrong: a page for people, JSON elsewhere."""
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    views = [finding_view(finding) for finding in findings]

    def answer(path: str = "") -> Response:
        del path
        if request.path == "/":
            page = render_template("error.html", findings=views)
            return Response(page, 503, headers={"Cache-Control": "no-store"})
        return json_response({"status": "misconfigured", "findings": views}, 503)

    for rule in ("/", "/<path:path>"):
        app.add_url_rule(rule, "answer", answer)
    return hardened(app)
