import type { INotebookContent } from '@jupyterlab/nbformat';

/** The kernel of a notebook that is created. */
export const KERNEL = 'python3';

const INTRODUCTION = `# Workflow

A workflow runs its steps in order, and waits where a step asks for an answer. Run the cells below \
to try them here; then press *Production* and *Run workflow…* in the toolbar.`;

const ASK = `%%step ask
def handler(pd):
    event = pd.steps["trigger"]["event"]
    pd.flow.suspend(message=f"May **{event.get('what', 'the report')}** be sent?")`;

const TELL = `%%step tell
def handler(pd):
    answer = pd.steps["ask"]["$resume_data"]
    print("Sent." if answer else "Nobody answered in time.")`;

const LOAD = '%load_ext jupyter_pdflow';

/** Return the cells of a workflow to begin with. */
export function startingNotebook(): INotebookContent {
  const code = (id: string, source: string): INotebookContent['cells'][number] => ({
    cell_type: 'code',
    id,
    source,
    metadata: {},
    outputs: [],
    execution_count: null
  });
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec: { name: KERNEL, display_name: 'Python 3', language: 'python' },
      language_info: { name: 'python' }
    },
    cells: [
      { cell_type: 'markdown', id: 'introduction', source: INTRODUCTION, metadata: {} },
      code('load', LOAD),
      code('ask', ASK),
      code('tell', TELL)
    ]
  };
}
