// Reads inputs, a JSON object of mails, from the standard input, and prints what nodemailer makes of
// each. Arguments: the folder of the package nodemailer, and a folder with the files that are attached.
import fs from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';

const [, , home, files] = process.argv;
const entry = path.join(home, 'dist', 'esm', 'nodemailer.js');
const { default: nodemailer } = await import(pathToFileURL(entry).href);

function revived(value) {
    if (Array.isArray(value)) {
        return value.map(revived);
    }
    if (value === null || typeof value !== 'object') {
        return value;
    }
    if ('$bytes' in value) {
        return Buffer.from(value.$bytes, 'latin1');
    }
    if ('$stream' in value) {
        return Readable.from([Buffer.from(value.$stream)]);
    }
    if ('$file' in value) {
        return path.join(files, value.$file);
    }
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, revived(each)]));
}

const transport = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
const results = {};
for (const [name, mail] of Object.entries(JSON.parse(fs.readFileSync(0, 'utf8')))) {
    try {
        const { envelope, message } = await transport.sendMail(revived(mail));
        results[name] = { envelope, message: message.toString('base64') };
    } catch (error) {
        results[name] = { error: error.message };
    }
}
process.stdout.write(JSON.stringify(results));
