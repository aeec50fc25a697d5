// Gradio's JavaScript client: npm install @gradio/client, then: node client.mjs "your question"
import { Client } from "@gradio/client";

const url = process.env.RAG_URL ?? "http://127.0.0.1:7860";
const app = await Client.connect(url, { events: ["data", "status"] });
const question = process.argv[2] ?? "What is task decomposition?";
let answer = "";
for await (const event of app.submit("/chat", { message: question })) {
  if (event.type === "data") answer = event.data[0];
  if (event.type === "status" && ["complete", "error"].includes(event.stage)) break;
}
console.log(answer);
app.close();
process.exit(0);
