// The ways to break a multipart answer. Each is given the answer, a character for each byte, and its type.

const replaced = (part, instead) => text => text.replace(part, instead);
// What is between the lines with the boundary.
const parts = change => (text, type) => {
    const line = `--${type.split("boundary=")[1]}`;
    const list = text.slice(`${line}\r\n`.length, -`\r\n${line}--\r\n`.length).split(`\r\n${line}\r\n`);
    return change(list) === false ? text : `${line}\r\n${list.join(`\r\n${line}\r\n`)}\r\n${line}--\r\n`;
};
// The same of the first change set that was carried out and has so many parts.
const changeSet = (least, change) => parts(list => {
    const index = list.findIndex(part => part.split("\r\n--changesetresponse_").length >= least + 2);
    if (index < 0) return false;
    const [head, ...rest] = list[index].split("\r\n\r\n");
    list[index] = [head, parts(change)(`${rest.join("\r\n\r\n")}\r\n`, head).slice(0, -2)].join("\r\n\r\n");
});
const swap = (list, [a, b] = [0, 1]) => {
    if (list.length < 2) return false;
    [list[a], list[b]] = [list[b], list[a]];
};
const swapped = pattern => parts(list => {
    const [a, b] = list.slice(0, 2).map(part => pattern.exec(part)?.[1]);
    if (a === undefined || b === undefined || a === b) return false;
    for (const [index, [from, to]] of [[a, b], [b, a]].entries()) list[index] = list[index].replace(from, () => to);
});
// The bytes of a character in UTF-8.
const crab = Buffer.from("🦀").toString("latin1");

const all = {
    "wrong status": replaced("HTTP/1.1 404 Not Found", "HTTP/1.1 410 Gone"),
    "failure told as success": replaced("HTTP/1.1 404 Not Found", "HTTP/1.1 200 OK"),
    "lost part": parts(list => list.length > 1 && list.pop() && undefined),
    "part told twice": parts(list => { list.push(list[0]); }),
    "swapped parts": parts(list => swap(list)),
    "swapped bodies": swapped(/\r\n\r\nHTTP[^]*?\r\n\r\n([^]+)$/),
    "lost character": replaced(crab, "?"),
    "wrong boundary": (text, type) => ({ text, type: `${type}x` }),
    "no boundary": text => ({ text, type: "multipart/mixed" }),
    "lost last boundary": replaced(/\r\n--[^\r]*--\r\n$/, "\r\n"),
    "no empty line before a response": replaced("\r\n\r\nHTTP/1.1", "\r\nHTTP/1.1"),
    "no empty line before a body": replaced(/(Content-Length: [1-9]\d*\r\n)\r\n/, "$1"),
    "no header of a part": replaced(/(?<=\r\n)Content-Type: application\/http\r\n[^]*?\r\n\r\n/, "\r\n"),
    "no header of a response": replaced(/(HTTP\/1.1 204 No Content\r\n)[^]*?\r\n\r\n/, "$1\r\n"),
    "no status line": replaced(/HTTP\/1.1 200 OK\r\n/, ""),
    "status line without a reason": replaced(/(HTTP\/1.1 200) OK/, "$1"),
    "status line without a version": replaced(/HTTP\/1.1 (?=200)/, ""),
    "line ends without CR": replaced(/\r\n/g, "\n"),
    "lower-case headers": replaced(/^[A-Z][A-Za-z]+(-[A-Z][A-Za-z]+)*(?=: )/gm, name => name.toLowerCase()),
    "cut off": text => ({ text: text.slice(0, text.length / 2), cut: true }),
    "ended early": text => text.slice(0, text.length / 2),
    "type of the whole": text => ({ text, type: "text/plain" }),
};
// What only readers of headers can see.
const headers = {
    "lost location": replaced(/Location: .*\r\n/, ""),
    "wrong header": replaced(/Allow: .*/, "Allow: GET"),
    "wrong length": replaced(/(Content-Length: )(\d+)/, (_, name, length) => name + (Number(length) + 1)),
    "changed bytes": replaced("\0\u0001\u0002", "\0\u0001\u0003"),
    "status of the whole": text => ({ text, status: 207 }),
};
// What only readers of ids can see.
const ids = {
    "swapped ids": swapped(/Content-ID: ([^\r]*)/),
    "wrong id": replaced(/(Content-ID: .*?)(\w)(>?\r\n)/, (_, before, last, after) => `${before}${last === "7" ? "8" : "7"}${after}`),
    "lost id": replaced(/Content-ID: .*\r\n/, ""),
};
// What only those can see that send change sets.
const changeSets = {
    "lost member": changeSet(2, list => { list.pop(); }),
    "swapped members": changeSet(2, list => swap(list)),
    "change set taken apart": parts(list => {
        const index = list.findIndex(part => part.split("\r\n--changesetresponse_").length > 3);
        if (index < 0) return false;
        list.splice(index, 1, ...list[index].split(/\r\n--changesetresponse_[^\r]*(?:\r\n|$)/).slice(1, -1));
    }),
    "failure within a change set": parts(list => {
        const index = list.findIndex(part => part.includes("HTTP/1.1 404 "));
        if (index < 0) return false;
        list[index] = `Content-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n--changesetresponse_1\r\n${list[index]}\r\n--changesetresponse_1--`;
    }),
};

export const multipart = { ...all, ...headers, ...ids, ...changeSets };
export const multipartKinds = {
    google: { ...all, ...headers, ...ids },
    parts: { ...all, ...headers },
    numbered: { ...all, ...ids, ...changeSets },
    sets: { ...all, ...changeSets },
    strict: { ...all, ...headers, ...changeSets },
};
