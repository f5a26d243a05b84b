import { editedSentence, versionLabel, type WorkflowFacts } from './toolbar-state';

/** What the dialog *Run workflow…* offers. */
export interface RunOffer {
  note: string;
  /** The last one is the default. */
  actions: readonly {
    label: string;
    caption: string;
    /** The id of the workflow to run, or null to deploy the notebook first. */
    workflow: string | null;
  }[];
}

/** Return what the dialog offers, from what is known. */
export function runOffer(
  facts: Pick<WorkflowFacts, 'deployment' | 'edits' | 'isEdited'>
): RunOffer {
  const workflow = facts.deployment?.workflow ?? null;
  const deploy = {
    label: 'Deploy and run',
    caption: 'Save and deploy the notebook, and run the new version',
    workflow: null
  };
  if (!workflow) {
    return { note: 'The notebook is not deployed yet.', actions: [deploy] };
  }
  const version = versionLabel(workflow);
  const run = {
    label: `Run ${version}`,
    caption: `Run the deployed version ${workflow.version}`,
    workflow: workflow.id
  };
  return facts.isEdited
    ? { note: editedSentence(facts), actions: [run, deploy] }
    : { note: '', actions: [run] };
}
