"""Train on Vertex AI: pack the code, describe the job, submit it. See README.md."""
