provider add openfusion --type openai-compat --base-url "{{url}}/v1" --api-key "$OPENFUSION_API_KEY"
model add "openfusion/{{model}}" --name "OpenFusion" --context-window {{context}} --default-max-tokens {{output}}
model large "openfusion/{{model}}"
model small "openfusion/{{model}}"
option request-timeout 600
