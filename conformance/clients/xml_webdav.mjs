// RFC 4918 XML, by the reader of npm's webdav, over its own client.

import { createClient, parseXML } from "webdav";
import { readFileSync } from "node:fs";

import { Checks, TARGET, cases, document, expected, parsed } from "./lib.mjs";

const { version } = JSON.parse(readFileSync(new URL("../node_modules/webdav/package.json", import.meta.url)));
const checks = new Checks({ webdav: version, node: process.versions.node });
const client = createClient(TARGET);
// Values stay text: "1" is no number.
const context = { attributeNamePrefix: "@", attributeParsers: [], tagParsers: [() => undefined] };

const batches = [
    ...cases("document").map(one => [one.name, one, "application/json", JSON.stringify(document(one))]),
    ...cases("lines").map(one =>
        [`${one.name}, streamed`, one, "application/x-ndjson", one.operations.map(operation => JSON.stringify(operation) + "\n").join("")]),
];

for (const [name, batch, type, data] of batches) {
    const want = await expected(batch);
    const answer = await checks.attempt(`${name}: answer`, () => client.customRequest("/batch", {
        method: "POST", headers: { "content-type": type, accept: "application/xml" }, data,
    }));
    const text = answer && await checks.attempt(`${name}: body`, () => answer.text());
    const read = text && await checks.attempt(`${name}: is multistatus`, () => parseXML(text, context));
    if (!read) continue;
    checks.equal(`${name}: status of the batch`, answer.status, 207);
    checks.equal(`${name}: its type`, answer.headers.get("content-type"), "application/xml; charset=utf-8");
    const responses = read.multistatus.response.filter(Boolean);
    const hrefs = responses.map(({ href }) => href);
    checks.equal(`${name}: hrefs once only`, [...new Set(hrefs)], hrefs);
    const indexes = responses.map(({ result }) => Number(result?.["@index"]));
    checks.equal(`${name}: one response for each operation`, [...indexes].sort((a, b) => a - b), want.map((_, index) => index));
    if (type === "application/json") checks.equal(`${name}: in request order`, indexes, want.map((_, index) => index));
    for (const [index, expectation] of want.entries()) {
        const response = responses[indexes.indexOf(index)];
        const label = `${name} [${index}]`;
        if (!response?.result) {
            checks.true(`${label}: is there`, false);
            continue;
        }
        const { result } = response;
        // The target, or where that stands already, or perhaps never came to be, one of ours.
        const { path } = batch.operations[index];
        const own = `/batch?operation=${index}`;
        const isFree = expectation.ofLayer || path.includes("{");
        if (isFree) checks.true(`${label}: href`, [path, own].includes(response.href) || /^\/users\/\d+$/.test(response.href));
        else checks.equal(`${label}: href`, response.href, result["@target"] === undefined ? path : own);
        checks.equal(`${label}: status`, Number(/^HTTP\/1\.1 (\d{3}) /.exec(response.status)?.[1]), expectation.status);
        checks.equal(`${label}: location`, response.location?.href, expectation.status === 201 ? expectation.headers.location : undefined);
        checks.equal(`${label}: id`, result["@id"], batch.operations[index].id);
        const body = result.body?.text ?? "";
        if (expectation.ofLayer) {
            checks.equal(`${label}: description`, response.responsedescription, parsed(body)?.detail ?? "a detail");
            continue;
        }
        const headers = Object.fromEntries([result.header ?? []].flat().map(header => [header["@name"], header.text]));
        const type = expectation.headers["content-type"];
        const isBase64 = result.body?.["@encoding"] === "base64";
        const bytes = Buffer.from(body, isBase64 ? "base64" : "utf8");
        // It trims text, and may leave references to characters as they are.
        const asRead = bytes => isBase64 ? bytes.toString("latin1") : bytes.toString().replace(/&#13;/g, "\r").trim();
        checks.equal(`${label}: content-type`, headers["content-type"], type);
        checks.equal(`${label}: allow`, headers.allow, expectation.headers.allow);
        checks.equal(`${label}: body`, asRead(bytes), asRead(expectation.body));
    }
}
checks.report();
