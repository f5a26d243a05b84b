// jsdom has no drag and drop, which Lumino looks for when it is loaded.
globalThis.DragEvent = MouseEvent as unknown as typeof DragEvent;
