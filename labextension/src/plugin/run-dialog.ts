import { chooseWithJson, type JsonInput } from './dialogs';
import { runOffer } from './run-offer';
import type { WorkflowFacts } from './toolbar-state';

/** Ask for a run's event, and which version to run; null if the dialog was canceled. */
export async function askForRun(
  { title }: { title: { label: string } },
  facts: WorkflowFacts,
  text: string
): Promise<{ input: JsonInput; workflow: string | null } | null> {
  const { note, actions } = runOffer(facts);
  const name = facts.deployment?.workflow?.name ?? title.label.replace(/\.ipynb$/, '');
  const label = 'Event (JSON). Steps read it as pd.steps["trigger"]["event"].';
  const answer = await chooseWithJson(`Run ${name}`, label, actions, text, note);
  return answer && { input: answer.input, workflow: actions[answer.action].workflow };
}
