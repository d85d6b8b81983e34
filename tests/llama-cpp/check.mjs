// Compares an exported GGUF in llama.cpp with what Limbeck computes for the same file.
//
//   limbeck probe MODEL.gguf --requests REQUESTS.jsonl > PROBE.jsonl
//   node check.mjs MODEL.gguf PROBE.jsonl
//
// Each line of PROBE.jsonl is one request as Limbeck saw it: `input` and its `input_tokens`, `prompt` (the input in the
// chat template) and its `tokens`, `logits` (the whole vocabulary, for the next token), and the greedy answer as
// `greedy` (token ids) with `gaps` (how far the best logit was above the second, a step each). Exit code 0: they
// agree; 1: they do not.
import {readFileSync} from "node:fs";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

// The bounds that a correct F16 export keeps; see docs/verification.md for what was measured.
const MAX_LOG_PROBABILITY_DIFFERENCE = 0.05;
const MAX_MEAN_KL = 1e-4;
const NEGLIGIBLE_PROBABILITY = 1e-6;

function logSoftmax(logits) {
    const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - max), 0);
    return logits.map((logit) => logit - max - Math.log(sum));
}

async function nextLogits(sequence, tokens, vocabularySize) {
    await sequence.clearHistory();
    const last = tokens.length - 1;
    const input = tokens.map((token, i) => (i === last
        ? [token, {generateNext: {logits: true, options: {temperature: 0}}}]
        : token));
    const output = await sequence.controlledEvaluate(input);
    const logits = new Array(vocabularySize).fill(-Infinity);
    for (const [token, logit] of output[last].next.logits) logits[token] = logit;
    return logits;
}

async function greedy(sequence, tokens, steps) {
    await sequence.clearHistory();
    const answer = [];
    for await (const token of sequence.evaluate(tokens, {temperature: 0, yieldEogToken: true})) {
        answer.push(token);
        if (answer.length >= steps) break;
    }
    return answer;
}

function compareLogits(ours, theirs) {
    const p = logSoftmax(ours), q = logSoftmax(theirs);
    let difference = 0, kl = 0;
    for (let i = 0; i < p.length; i++) {
        const probability = Math.exp(p[i]);
        if (probability > NEGLIGIBLE_PROBABILITY) difference = Math.max(difference, Math.abs(p[i] - q[i]));
        if (probability > 0) kl += probability * (p[i] - q[i]);
    }
    return {difference, kl};
}

const [modelPath, probePath] = process.argv.slice(2);
if (!modelPath || !probePath) {
    console.error("usage: node check.mjs MODEL.gguf PROBE.jsonl");
    process.exit(2);
}
const probes = readFileSync(probePath, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const llama = await getLlama({build: "never", gpu: false, logLevel: LlamaLogLevel.error, progressLogs: false});
const model = await llama.loadModel({modelPath});
const contextSize = Math.max(...probes.map((probe) => probe.tokens.length + probe.greedy.length)) + 8;
const context = await model.createContext({contextSize, batchSize: contextSize, threads: 2});
const sequence = context.getSequence();

// Limbeck never reads control tokens out of a request. llama.cpp reads the whole prompt at once and would, so a prompt
// whose request spells one is compared as the request alone, read as plain text.
function spellsControlToken(text) {
    return model.tokenize(text, true).join() !== model.tokenize(text, false).join();
}

const failures = [];
let worst = 0, klSum = 0, closeCalls = 0, hostile = 0;
for (const [index, probe] of probes.entries()) {
    const readings = [["input", model.tokenize(probe.input, false), probe.input_tokens]];
    if (spellsControlToken(probe.input)) hostile++;
    else readings.push(["prompt", model.tokenize(probe.prompt, true), probe.tokens]);
    for (const [what, theirs, ours] of readings) {
        if (theirs.join() !== ours.join()) {
            failures.push(`request ${index}: llama.cpp reads the ${what} as tokens ${theirs}, Limbeck as ${ours}`);
        }
    }
    const tokens = probe.tokens;
    const {difference, kl} = compareLogits(probe.logits, await nextLogits(sequence, tokens, probe.logits.length));
    worst = Math.max(worst, difference);
    klSum += kl;
    const answer = await greedy(sequence, tokens, probe.greedy.length);
    const first = probe.greedy.findIndex((token, i) => token !== answer[i]);
    if (first >= 0) {
        if (probe.gaps[first] < MAX_LOG_PROBABILITY_DIFFERENCE) closeCalls++;
        else failures.push(`request ${index}: greedy answers part at step ${first}: ${probe.greedy[first]} here, ${answer[first]} in llama.cpp`);
    }
}
const meanKl = klSum / probes.length;
if (probes.length === 0) failures.push("the probe file holds no request");
if (!(worst <= MAX_LOG_PROBABILITY_DIFFERENCE)) failures.push(`log-probabilities differ by ${worst}`);
if (!(meanKl <= MAX_MEAN_KL)) failures.push(`mean KL is ${meanKl}`);
for (const failure of failures) console.error(failure);
console.log(`llama.cpp: ${probes.length} requests (${hostile} spell control tokens), largest log-probability difference ${worst.toExponential(2)}, mean KL ${meanKl.toExponential(2)}, ${closeCalls} close calls, ${failures.length} failures`);
process.exit(failures.length === 0 ? 0 : 1);
