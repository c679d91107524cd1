"""Scans servers with sslyze and compares each with Mozilla's recommendations. Runs in an environment of its own: sslyze pins its libraries.

    sslyze_scan.py CA-FILE PORT=PROFILE…    profiles: modern, intermediate

Prints one JSON object: by port, what was looked at and what is amiss.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sslyze import CertificateInfoExtraArgument, ScanCommand, ScanCommandsExtraArguments, Scanner, ServerNetworkLocation, ServerScanRequest
from sslyze.mozilla_tls_profile.tls_config_checker import (
    SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER,
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)


def main(ca: str, *targets: str) -> None:
    profiles = {int(port): profile for port, _, profile in (target.partition("=") for target in targets)}
    scanner = Scanner()
    scanner.queue_scans([
        ServerScanRequest(
            server_location=ServerNetworkLocation(hostname="localhost", ip_address="127.0.0.1", port=port),
            scan_commands=SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER | {ScanCommand.SESSION_RESUMPTION, ScanCommand.TLS_1_3_EARLY_DATA, ScanCommand.HTTP_HEADERS},
            scan_commands_extra_arguments=ScanCommandsExtraArguments(certificate_info=CertificateInfoExtraArgument(custom_ca_file=Path(ca))))
        for port in profiles])
    found = {}
    for result in scanner.get_results():
        port = result.server_location.port
        if result.scan_result is None:
            found[port] = {"issues": {"connectivity": str(result.connectivity_error_trace)}}
            continue
        issues = {}
        try:
            check_server_against_tls_configuration(
                server_scan_result=result,
                tls_config_to_check_against=MozillaTlsConfiguration.get(TlsConfigurationEnum(profiles[port])))
        except ServerNotCompliantWithTlsConfiguration as error:
            issues = error.issues
        scan = result.scan_result
        early, resumption, headers = scan.tls_1_3_early_data, scan.session_resumption, scan.http_headers
        found[port] = {
            "issues": issues,
            "early_data": early.result.supports_early_data if early.result else str(early.error_reason),
            "tickets": resumption.result.tls_ticket_resumption_result.name if resumption.result else str(resumption.error_reason),
            "hsts": headers.result.strict_transport_security_header.max_age if headers.result and headers.result.strict_transport_security_header else None,
            "trusted": [deployment.verified_certificate_chain is not None for deployment in scan.certificate_info.result.certificate_deployments],
        }
    print(json.dumps(found))


main(*sys.argv[1:])
