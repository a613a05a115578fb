// A proxy that passes on what it gets, but for the answers to batches, which it breaks in one way. It prints its
// address, and a line for each answer that it has changed.
//
//     node broken.mjs http://127.0.0.1:3000 status

import http from "node:http";

import { multipart, multipartKinds } from "./broken_multipart.mjs";

// Of a native JSON document.
const document = change => text => {
    const answer = JSON.parse(text);
    const list = answer.results;
    return list && change(list, answer) !== false ? JSON.stringify(answer) : text;
};
// The first result that has what is asked for.
const one = (where, change) => document(list => {
    const result = list.find(where);
    return result ? change(result, list) : false;
});

const json = {
    "wrong status": one(r => r.status === 404, r => { r.status = 410; }),
    "failure told as success": one(r => r.status === 424, r => { r.status = 200; }),
    "lost result": document(list => { list.pop(); }),
    "result told twice": document(list => { list.push(list[0]); }),
    "swapped bodies": document(list => {
        if (list.length < 2 || !list[0].data || !list[1].data) return false;
        [list[0].data, list[1].data] = [list[1].data, list[0].data];
    }),
    "swapped results": document(list => {
        if (list.length < 2) return false;
        list.unshift(list.splice(1, 1)[0]);
    }),
    "wrong index": one(r => r.index === 1, r => { r.index = 7; }),
    "lost id": one(r => r.id, r => { delete r.id; }),
    "lost location": one(r => r.headers?.location, r => { delete r.headers.location; }),
    "wrong header": one(r => r.headers?.allow, r => { r.headers.allow = "GET"; }),
    "invented header": one(r => r.status === 200, r => { r.headers = { ...r.headers, etag: "\"x\"" }; }),
    "changed bytes": one(r => r.encoding === "base64" && r.data, r => { r.data = "AAAA" + r.data.slice(4); }),
    "bytes as text": one(r => r.encoding === "base64", r => { delete r.encoding; }),
    "lost character": one(r => /🦀/.test(JSON.stringify(r.data)), r => { r.data = JSON.parse(JSON.stringify(r.data).replace("🦀", "?")); }),
    "wrong summary": document((_, answer) => { answer.summary.succeeded++; }),
    "lost summary": document((_, answer) => { delete answer.summary; }),
    "cut off": text => ({ text: text.slice(0, text.length / 2), cut: true }),
    "ended early": text => text.slice(0, text.length / 2),
    "status of the whole": text => ({ text, status: 200 }),
    "type of the whole": text => ({ text, type: "text/plain" }),
};

// The first response that has what is asked for.
const responses = /<D:response>.*?<\/D:response>/gs;
const xmlOne = (where, change) => text => {
    const found = text.match(responses)?.find(response => where.test(response));
    return found ? text.replace(found, () => change(found)) : text;
};
const replaced = (part, instead) => text => text.replace(part, instead);
const xml = {
    "wrong status": xmlOne(/404 Not Found/, r => r.replace("404 Not Found", "410 Gone")),
    "failure told as success": xmlOne(/424 Failed/, r => r.replace("424 Failed Dependency", "200 OK")),
    "lost response": text => text.replace((text.match(responses) ?? []).at(-1), ""),
    "swapped responses": text => {
        const [a, b] = text.match(/<b:result.*?<\/b:result>/gs);
        return b ? text.replace(a, "\0").replace(b, () => a).replace("\0", () => b) : text;
    },
    "duplicate href": text => text.replace(/<D:href>\/batch\?operation=\d+<\/D:href>(?=.*target="\/users\/1")/s, "<D:href>/users/1</D:href>"),
    "wrong href": replaced("<D:href>/users/1</D:href>", "<D:href>/users/9</D:href>"),
    "lost location": replaced(/<D:location>.*?<\/D:location>/, ""),
    "wrong location": replaced(/(<D:location><D:href>\/users\/)/, "$19"),
    "lost description": replaced(/<D:responsedescription>.*?<\/D:responsedescription>/, ""),
    "lost href": replaced("<D:href>/users/1</D:href>", ""),
    "lost status": replaced(/<D:status>.*?<\/D:status>/, ""),
    "status without a version": replaced("HTTP/1.1 200", "200"),
    "wrong namespace": replaced('"DAV:"', '"DAV"'),
    "lost namespace": replaced(' xmlns:D="DAV:"', ""),
    "lost extension": replaced(/<b:result.*?<\/b:result>/s, ""),
    "another root": text => text.replaceAll("D:multistatus", "D:multi"),
    "cut off": text => ({ text: text.slice(0, text.length / 2), cut: true }),
    "ended early": text => text.slice(0, text.length / 2),
    "status of the whole": text => ({ text, status: 200 }),
};
// What only readers of our extension can see.
const extension = {
    "changed bytes": replaced('encoding="base64">AAEC', 'encoding="base64">AAEB'),
    "bytes as text": replaced(' encoding="base64"', ""),
    "lost character": replaced("🦀", "?"),
    "control character": replaced("&#13;", "\u0001"),
    "unescaped": replaced("&lt;", "<"),
    "lost body": replaced(/<b:body.*?<\/b:body>/s, ""),
    "wrong header": replaced(/(name="allow">)GET, /, "$1"),
    "lost id": replaced(' id="two"', ""),
    "type of the whole": text => ({ text, type: "text/plain" }),
};

// Of an answer to Microsoft Graph's clients.
const responsesOf = change => text => {
    const answer = JSON.parse(text);
    return answer.responses && change(answer.responses, answer) !== false ? JSON.stringify(answer) : text;
};
const oneResponse = (where, change) => responsesOf(list => {
    const response = list.find(where);
    return response ? change(response) : false;
});
const graph = {
    "wrong status": oneResponse(r => r.status === 404, r => { r.status = 410; }),
    "failure told as success": oneResponse(r => r.status === 424, r => { r.status = 200; }),
    "lost response": responsesOf(list => { list.pop(); }),
    "response told twice": responsesOf(list => { list.push(list[0]); }),
    "swapped bodies": responsesOf(list => {
        if (list.length < 2) return false;
        [list[0].body, list[1].body] = [list[1].body, list[0].body];
    }),
    "swapped ids": responsesOf(list => {
        if (list.length < 2) return false;
        [list[0].id, list[1].id] = [list[1].id, list[0].id];
    }),
    "number as id": responsesOf(list => list.forEach((r, index) => { r.id = index; })),
    "lower-case headers": responsesOf(list => list.forEach(r => {
        r.headers = Object.fromEntries(Object.entries(r.headers).map(([name, value]) => [name.toLowerCase(), value]));
    })),
    "lost headers": responsesOf(list => list.forEach(r => { delete r.headers; })),
    "lost location": oneResponse(r => r.headers.Location, r => { delete r.headers.Location; }),
    "wrong header": oneResponse(r => r.headers.Allow, r => { r.headers.Allow = "GET"; }),
    "JSON in a string": oneResponse(r => typeof r.body === "object" && r.body, r => { r.body = JSON.stringify(r.body); }),
    "a body where none may be": oneResponse(r => r.status === 204, r => { r.body = ""; }),
    "changed bytes": oneResponse(r => typeof r.body === "string" && r.body, r => { r.body = "AAAA" + r.body.slice(4); }),
    "lost error": oneResponse(r => r.body?.error, r => { r.body = {}; }),
    "native members": responsesOf((list, answer) => { answer.results = list; delete answer.responses; }),
    "cut off": text => ({ text: text.slice(0, text.length / 2), cut: true }),
    "ended early": text => text.slice(0, text.length / 2),
    "status of the whole": text => ({ text, status: 207 }),
    "type of the whole": text => ({ text, type: "text/plain" }),
};
// What only a client can see that sends groups.
const groups = { "lost group": oneResponse(r => r.atomicityGroup, r => { delete r.atomicityGroup; }) };

// Of each line of an answer, as it comes: what is to be sent in its place, `undefined` for nothing, or `CUT` or `END` for
// no more than that. `state` is one for each answer.
const CUT = Symbol("cut");
const END = Symbol("end");
const eachLine = change => ({ lines: (line, state) => change(line, JSON.parse(line), state) });
const oneLine = (where, change) => eachLine((line, result) => {
    if (!where(result)) return line;
    const after = change(result);
    return after === undefined ? undefined : JSON.stringify(after ?? result);
});
const set = (where, members) => oneLine(where, result => Object.assign(result, members));
const ndjson = {
    "wrong status": set(r => r.status === 404, { status: 410 }),
    "failure told as success": set(r => r.status === 424, { status: 200 }),
    "lost result": oneLine(r => r.index === 1, () => undefined),
    "result told twice": eachLine((line, result) => result.index === 0 ? `${line}\n${line}` : line),
    "body of the one before": eachLine((line, result, state) => {
        const { data } = state;
        state.data = result.data ?? data;
        return data && result.data ? JSON.stringify({ ...result, data }) : line;
    }),
    "wrong index": set(r => r.index === 1, { index: 7 }),
    "lost id": oneLine(r => r.id, ({ id, ...rest }) => rest),
    "lost location": oneLine(r => r.headers?.location, ({ headers, ...rest }) => rest),
    "changed bytes": oneLine(r => r.encoding === "base64", r => ({ ...r, data: "AAAA" + r.data.slice(4) })),
    "bytes as text": oneLine(r => r.encoding === "base64", ({ encoding, ...rest }) => rest),
    "lost character": eachLine(line => line.replace("🦀", "?")),
    "wrong summary": oneLine(r => r.summary, r => ({ summary: { ...r.summary, failed: r.summary.failed + 1 } })),
    "lost summary": oneLine(r => r.summary, () => undefined),
    "something behind the summary": eachLine((line, r) => r.summary ? `${line}\n{"index":99,"status":200}` : line),
    "cut off": eachLine((line, r) => r.index === 1 ? CUT : line),
    "cut off before the summary": eachLine((line, r) => r.summary ? CUT : line),
    "ended early": eachLine((line, r) => r.index === 1 ? END : line),
    "ended within a line": eachLine((line, r) => r.summary ? { half: line.slice(0, line.length / 2) } : line),
    "status of the whole": { ...eachLine(line => line), status: 200 },
    "type of the whole": { ...eachLine(line => line), type: "text/plain" },
    "in request order": { text: text => text.split("\n").sort((a, b) => (JSON.parse(a || "{}").index ?? 1e9) - (JSON.parse(b || "{}").index ?? 1e9)).join("\n").trim() + "\n" },
};
// What only a client can see that reads while it writes.
const held = { "held back": { text: text => text, always: true } };

const kinds = { multipart, json, graph: { ...graph, ...groups }, ndjson: { ...ndjson, ...held }, xml: { ...xml, ...extension } };

if (process.argv[2] === "--list") {
    console.log(JSON.stringify(Object.fromEntries(Object.entries({ ...kinds, ...multipartKinds, graph, odata: kinds.graph, dav: xml, whole: ndjson }).map(([kind, ways]) => [kind, Object.keys(ways)]))));
    process.exit();
}

const upstream = new URL(process.argv[2]);
const way = process.argv[3];
const isBatch = request => request.method === "POST" && ["/batch", "/$batch"].includes(request.url);
const kindOf = (type, url) => type?.includes("multipart") ? "multipart" : url === "/$batch" ? "graph" : type?.includes("ndjson") ? "ndjson" : type?.includes("xml") ? "xml" : "json";

const server = http.createServer((request, response) => {
    const onward = http.request(upstream, { method: request.method, path: request.url, headers: request.headers }, answer => {
        const change = isBatch(request) && answer.statusCode < 300 && kinds[kindOf(answer.headers["content-type"], request.url)]?.[way];
        if (!change) {
            response.writeHead(answer.statusCode, answer.headers);
            response.flushHeaders();
            answer.pipe(response);
            return;
        }
        if (change.lines) lines(change, answer, response);
        else whole(change.text ?? change, answer, response, change.always);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
});

function lines(change, answer, response) {
    const headers = { ...answer.headers };
    if (change.type) headers["content-type"] = change.type;
    // Before the answer: a client may be done, and this process with it, as soon as it has seen that.
    if (change.status || change.type) console.log("changed");
    response.writeHead(change.status ?? answer.statusCode, headers);
    response.flushHeaders();
    const state = {};
    let rest = "";
    let done = false;
    answer.setEncoding("utf8");
    answer.on("data", piece => {
        const every = (rest + piece).split("\n");
        rest = every.pop();
        for (const before of every) {
            if (done) return;
            const after = before.trim() ? change.lines(before, state) : before;
            if (after !== before) console.log("changed");
            done = after === CUT || after === END || after?.half !== undefined;
            // What was written before has to arrive.
            if (after === CUT) setTimeout(() => response.destroy(), 20);
            else if (done) response.end(after.half);
            else if (after !== undefined) response.write(after + "\n");
        }
    });
    answer.on("end", () => done || response.end(rest));
}

function whole(change, answer, response, always) {
    const type = answer.headers["content-type"];
    // Parts may hold any bytes.
    const encoding = type?.includes("multipart") ? "latin1" : "utf8";
    const chunks = [];
    answer.on("data", chunk => chunks.push(chunk));
    answer.on("end", () => {
        const before = Buffer.concat(chunks).toString(encoding);
        let after = change(before, type);
        if (after !== before || always) console.log("changed");
        if (typeof after === "string") after = { text: after };
        const headers = { ...answer.headers };
        delete headers["transfer-encoding"];
        headers["content-length"] = Buffer.byteLength(after.text, encoding) + (after.cut ? 1 : 0);
        if (after.type) headers["content-type"] = after.type;
        response.writeHead(after.status ?? answer.statusCode, headers);
        if (after.cut) response.write(after.text, encoding, () => response.destroy());
        else response.end(after.text, encoding);
    });
}

server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
