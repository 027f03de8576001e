"""Train on Vertex AI: pack the code, describe the job, submit it. README.md tells how."""
