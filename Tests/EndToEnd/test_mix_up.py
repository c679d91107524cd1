"""Mix-ups of two providers (RFC 9700 §4.4, RFC 9207): whatever is answered for another one, or by another one, is refused before a code is
redeemed or an error is believed."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from support import http
from support.upstream import Guarded, refuse
from support.visitor import consent_required

ABSENT = None


def answer_of(callback: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(callback).query).items()}


def deliver(guest, name: str, answer: dict[str, str | None]):
    """An authorization response at the redirect URI of the provider `name`."""
    query = urlencode({key: value for key, value in answer.items() if value is not None})
    return guest.navigate(f"/auth/callback/{name}?{query}", {"Sec-Fetch-Site": "cross-site"})


def refused(guest, two, response) -> None:
    assert response.status == 400 and response.header("content-type").startswith("text/html"), response
    assert not any(line.startswith(("coatcheck=", "__Host-coatcheck=")) for line in guest.set_cookies), guest.set_cookies
    assert not guest.signed_in
    assert two.token_calls() == 0, "nothing was redeemed anywhere"


def still_works(guest, two) -> None:
    assert guest.sign_in_at("staff").signed_in and two["staff"].count["authorization_code"] == 1


@pytest.fixture
def promises(request, two) -> bool:
    """Whether the providers say that their answers name them. It is there before the proxy asks them."""
    if not request.param:
        for one in two.all.values():
            one.metadata_changes = {"authorization_response_iss_parameter_supported": None}
    return request.param


# An honest answer in the wrong place

@pytest.mark.parametrize("promises, iss", [(True, "staff"), (True, "customers"), (True, ABSENT), (False, "staff"), (False, "customers"), (False, ABSENT)],
                         indirect=["promises"])
def test_what_was_begun_at_one_is_not_taken_at_the_path_of_the_other(promises, guest, two, iss):
    visitor = guest()
    answer = answer_of(two["staff"].approve(visitor.start_at("staff"), "harvey"))
    answer["iss"] = two[iss].issuer if iss else None
    refused(visitor, two, deliver(visitor, "customers", answer))
    # It is used up as well: its own path takes it no more.
    refused(visitor, two, deliver(visitor, "staff", answer | {"iss": two["staff"].issuer}))
    still_works(visitor, two)


@pytest.mark.parametrize("promises, path", [(True, "staff"), (True, "customers"), (False, "staff")], indirect=["promises"])
def test_a_code_of_one_is_not_redeemed_for_an_attempt_at_the_other(promises, guest, two, path):
    # The attacker is the customers' provider: it sends the browser on to the staff's, as if that had been asked, with the state of
    # the attempt at itself. The code that comes is the staff's.
    visitor = guest()
    begun = answer_of(visitor.start_at("customers"))
    passed_on = begun | {"redirect_uri": f"{visitor.url}/auth/callback/staff"}
    answer = answer_of(two["staff"].approve(f"{two['staff'].origin}/authorize?{urlencode(passed_on)}", "harvey"))
    if not promises:
        # Nothing but the path tells then: the one that the staff's provider has registered.
        answer["iss"] = None
    refused(visitor, two, deliver(visitor, path, answer))
    still_works(visitor, two)


# An answer that says that it is another's

@pytest.mark.parametrize("iss", ["customers", "empty", "absent", "almost"])
def test_an_answer_needs_the_iss_of_its_own_provider(guest, two, iss):
    visitor = guest()
    answer = answer_of(two["staff"].approve(visitor.start_at("staff"), "harvey"))
    own = two["staff"].issuer
    answer["iss"] = {"customers": two["customers"].issuer, "empty": "", "absent": None, "almost": own + "/"}[iss]
    refused(visitor, two, deliver(visitor, "staff", answer))
    still_works(visitor, two)


def test_two_different_iss_are_none(guest, two):
    visitor = guest()
    answer = answer_of(two["staff"].approve(visitor.start_at("staff"), "harvey"))
    query = urlencode([*answer.items(), ("iss", two["customers"].issuer)])
    refused(visitor, two, visitor.navigate(f"/auth/callback/staff?{query}"))


@pytest.mark.parametrize("promises", [False], indirect=True)
def test_where_iss_is_not_promised_another_ones_is_refused_all_the_same(promises, guest, two):
    visitor = guest()
    answer = answer_of(two["staff"].approve(visitor.start_at("staff"), "harvey"))
    refused(visitor, two, deliver(visitor, "staff", answer | {"iss": two["customers"].issuer}))


# States

def test_attempts_at_both_at_once_each_find_their_own_answer(guest, two):
    visitor = guest()
    one, other = visitor.start_at("staff"), visitor.start_at("customers")
    staff, customers = (answer_of(two[name].approve(url, "harvey")) for name, url in (("staff", one), ("customers", other)))
    crossed = deliver(visitor, "customers", customers | {"state": staff["state"]})
    assert crossed.status == 400 and two.token_calls() == 0 and not visitor.signed_in
    assert deliver(visitor, "customers", customers).status == 303
    assert visitor.session()["provider"] == "customers" and two["staff"].count["/token"] == 0


# Errors

@pytest.mark.parametrize("promises, path, iss", [(True, "staff", "customers"), (True, "customers", "customers"), (True, "customers", "staff"),
                                                 (True, "staff", None), (False, "customers", None)], indirect=["promises"])
@pytest.mark.parametrize("error", ["access_denied", "server_error"])
def test_an_error_of_another_provider_is_not_believed(promises, guest, two, path, iss, error):
    visitor = guest()
    state = answer_of(visitor.start_at("staff"))["state"]
    response = deliver(visitor, path, {"error": error, "error_description": "call this number", "state": state, "iss": two[iss].issuer if iss else None})
    refused(visitor, two, response)
    assert "call this number" not in response.text and "cancelled" not in response.text and "at the moment" not in response.text
    assert "cannot be completed" in response.text
    still_works(visitor, two)


@pytest.mark.parametrize("path, iss", [("staff", "customers"), ("customers", "customers"), ("customers", "staff")])
def test_another_provider_cannot_say_no_to_a_consent(guest, two, upstream, path, iss):
    upstream.on("write", Guarded("files.write", refuse(403, 'Bearer error="insufficient_scope", scope="files.write"')))
    visitor = guest().sign_in_at("staff")
    asked = consent_required(visitor.call("write"))
    calls = two.token_calls()
    begun = visitor.decide(asked["interaction_url"])
    state = answer_of(begun.location)["state"]
    response = deliver(visitor, path, {"error": "access_denied", "state": state, "iss": two[iss].issuer})
    assert response.status == 400 and "declined" not in response.text and "did not agree" not in response.text
    metrics = http.request(visitor.proxy.admin_url, "GET", "/metrics").text.splitlines()
    assert "coatcheck_consents_declined_total 0" in metrics and two.token_calls() == calls
    # The same person can still agree.
    again = consent_required(visitor.call("write"))
    assert visitor.consent_through(again["interaction_url"]).status == 303 and visitor.call("write").status == 200


# ID tokens

def test_an_id_token_of_another_issuer_is_no_proof(guest, two):
    visitor = guest()
    url = visitor.start_at("staff")
    two["staff"].mutate = lambda header, claims: two["customers"].sign(
        header | {"kid": two["customers"].keys[-1].kid}, claims | {"iss": two["customers"].issuer}, two["customers"].keys[-1])
    response = visitor.come_back(two["staff"].approve(url, "harvey"))
    assert 400 <= response.status < 500 and not visitor.signed_in
