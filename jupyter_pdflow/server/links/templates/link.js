const page = document.getElementById("page");
const told = document.getElementById("told");
const form = document.getElementById("ask");
const FAILED = "The server could not be reached. Nothing is known to have changed; try again.";
const MOST_KEPT_ALIVE = 60000; // browsers let no larger request outlive its page
const PATIENCE = 60000;
const waiting = told.querySelector("p").textContent;

/** Show times as the reader's own clock does. */
function showTimes() {
  const format = new Intl.DateTimeFormat(undefined, {
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "numeric",
    minute: "2-digit",
    timeZoneName: "short",
  });
  for (const time of told.querySelectorAll("time")) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

function say(state, heading, message) {
  const title = document.createElement("h1");
  const words = document.createElement("p");
  title.textContent = heading;
  words.textContent = message;
  page.dataset.state = state;
  told.replaceChildren(title, words);
}

/** Show the page that the server answered with in the place of this one. */
function show(answer) {
  const from = answer.getElementById("page");
  page.dataset.state = from.dataset.state;
  told.replaceChildren(...answer.getElementById("told").childNodes);
  document.title = answer.title;
  showTimes();
}

function offerAgain() {
  for (const link of told.querySelectorAll(".again")) {
    link.parentNode.remove();
  }
  form.querySelector("button").textContent = "Try again";
  form.hidden = false;
}

async function send() {
  const body = new URLSearchParams(new FormData(form)).toString();
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), PATIENCE);
  try {
    const answer = await fetch(location.href, {
      method: "POST",
      headers: {
        "Accept": "text/html",
        "Content-Type": "application/x-www-form-urlencoded",
        "X-PDFlow-Page": "1",
      },
      body,
      cache: "no-store",
      keepalive: body.length < MOST_KEPT_ALIVE,
      signal: controller.signal,
    });
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const ours = parsed.getElementById("page") !== null;
    return { parsed: ours ? parsed : null, again: !ours || isTemporary(answer.status) };
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the same request may succeed later, or with a shorter note. */
function isTemporary(status) {
  return status >= 500 || status === 413 || status === 429;
}

async function act() {
  if (form.hidden) {
    return; // under way, or done
  }
  form.hidden = true;
  say("busy", form.dataset.busy, waiting);
  try {
    const { parsed, again } = await send();
    if (parsed) {
      show(parsed);
    } else {
      say("failed", "That did not work", "Something between you and the server answered in its place.");
    }
    if (again) {
      offerAgain();
    }
  } catch {
    say("failed", "That did not work", FAILED);
    offerAgain();
  }
}

showTimes();
addEventListener("pageshow", (event) => event.persisted && location.reload());
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
  if ("acts" in form.dataset && document.prerendering) {
    document.addEventListener("prerenderingchange", act, { once: true });
  } else if ("acts" in form.dataset) {
    act();
  }
}
