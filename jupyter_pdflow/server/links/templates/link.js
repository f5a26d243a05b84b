const page = document.getElementById("page");
const result = document.getElementById("result");
// The element around the form. The form itself has the link's fields as properties: with a field
// that is named "hidden", `form.hidden` is that field.
const action = document.getElementById("action");
const UNREACHABLE = "The server could not be reached. Nothing is known to have changed; try again.";
const NOT_OURS = "Something between you and the server answered in its place.";
const MAX_KEEPALIVE_LENGTH = 60000; // browsers limit keepalive requests to 64 KiB
const TIMEOUT_MS = 60000;
const firstMessage = result.querySelector("p").textContent;

/** Show times in the reader's time zone and language. */
function showLocalTimes() {
  const format = new Intl.DateTimeFormat(undefined, {
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "numeric",
    minute: "2-digit",
    timeZoneName: "short",
  });
  for (const time of result.querySelectorAll("time")) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

function showText(state, heading, message) {
  const title = document.createElement("h1");
  const paragraph = document.createElement("p");
  title.textContent = heading;
  paragraph.textContent = message;
  page.dataset.state = state;
  result.replaceChildren(title, paragraph);
}

/** Show the content of a page that the server answered with. */
function showAnswer(answer) {
  page.dataset.state = answer.getElementById("page").dataset.state;
  result.replaceChildren(...answer.getElementById("result").childNodes);
  document.title = answer.title;
  showLocalTimes();
}

function offerRetry() {
  // The form's button replaces the link that reloads the page: it keeps the note.
  for (const link of result.querySelectorAll(".again")) {
    link.parentNode.remove();
  }
  action.querySelector("button").textContent = "Try again";
  action.hidden = false;
}

/** Whether the same request may succeed later, or with a shorter note. */
function isTemporary(status) {
  return status >= 500 || status === 413 || status === 429;
}

/** Send the form; return the server's page, or null if another program such as a proxy answered. */
async function send() {
  const body = new URLSearchParams(new FormData(action.querySelector("form"))).toString();
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(location.href, {
      method: "POST",
      headers: {
        "Accept": "text/html",
        "Content-Type": "application/x-www-form-urlencoded",
        "X-PDFlow-Page": "1",
      },
      body,
      cache: "no-store",
      keepalive: body.length < MAX_KEEPALIVE_LENGTH, // goes through when the person closes the page
      signal: controller.signal,
    });
    const answer = new DOMParser().parseFromString(await response.text(), "text/html");
    const isOurs = answer.getElementById("page") !== null;
    return { answer: isOurs ? answer : null, retry: !isOurs || isTemporary(response.status) };
  } finally {
    clearTimeout(timer);
  }
}

async function act() {
  if (action.hidden) {
    return; // the form is being sent, or was sent
  }
  action.hidden = true;
  showText("busy", action.dataset.progress, firstMessage);
  try {
    const { answer, retry } = await send();
    if (answer) {
      showAnswer(answer);
    } else {
      showText("failed", "That did not work", NOT_OURS);
    }
    if (retry) {
      offerRetry();
    }
  } catch {
    showText("failed", "That did not work", UNREACHABLE);
    offerRetry();
  }
}

showLocalTimes();
// A page from the browser's back-forward cache may show an old state.
addEventListener("pageshow", (event) => event.persisted && location.reload());
if (action) {
  action.addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
  if ("acts" in action.dataset && document.prerendering) {
    // A prerendered page must not act before the person opens it.
    document.addEventListener("prerenderingchange", act, { once: true });
  } else if ("acts" in action.dataset) {
    act();
  }
}
