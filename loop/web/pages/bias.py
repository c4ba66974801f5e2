"""Classes that are tied to places: what was found, what to collect, and what people decide of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.changes.bias import decide
from loop.gaps.bias_report import place_name
from loop.insights.bias import bias_view
from loop.web.site import Site, WorkKind, form_of

HERE = "/bias"


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        asked = request.query_params
        view = bias_view(site.project, asked.get("by", ""), asked.get("of", ""))
        share = site.project.settings.select.bias_share
        looking, trying = site.newest(WorkKind.BIAS), site.newest(WorkKind.COUNTERFACTUAL)
        return site.render(
            request, "bias.html", here=HERE, view=view, share=share, looking=looking, trying=trying
        )

    def deciding(request: Request) -> Response:
        form = form_of(request)
        tie, choice, reason = (str(form.get(name, "")) for name in ("tie", "choice", "reason"))
        made = decide(site.project, site.who(request), tie, choice, reason)
        place = place_name(made.tie)
        said = {
            "wanted": f"The next batches look for frames that loosen {made.tie.class_name} from {place}.",
            "ignored": f"{made.tie.class_name} may stay tied to {place}.",
            "": f"{made.tie.class_name} and {place}: as it is found.",
        }[choice]
        fields = {"tie": tie, "choice": made.before, "reason": made.before_reason}
        return site.done(request, HERE, said, f"{HERE}/decide", fields)

    def looking(request: Request) -> Response:
        site.ask(request, WorkKind.BIAS, LOOKING)
        return site.done(request, HERE, "It is looked at again; the page shows it once that is done.")

    def trying(request: Request) -> Response:
        site.ask(request, WorkKind.COUNTERFACTUAL, TRYING)
        return site.done(request, HERE, "Objects are tried elsewhere; the page shows it once that is done.")

    return [
        Route(HERE, page),
        Route(f"{HERE}/decide", deciding, methods=["POST"]),
        Route(f"{HERE}/look", looking, methods=["POST"]),
        Route(f"{HERE}/try", trying, methods=["POST"]),
    ]


LOOKING = "looking for classes that are tied to places"
TRYING = "pasting objects elsewhere"
