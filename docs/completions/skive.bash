# Completion of skive for bash; made by `skive help --bash`.
_skive() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="help --help --version train data plot inspect eval distill prune quantize sensitivity share pack unpack run bench simplify explain compare cost zoo"
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        return
    fi
    case $before in
        help) words=" train data plot inspect eval distill prune quantize sensitivity share pack unpack run bench simplify explain compare cost zoo" ;;
        -d|--data) words=" fashion-mnist mnist idx cifar10 cifar100 npy npz folder audio csv tsv text segment inputs" ;;
        train|--student) words=" mlp lenet5 vgg-small vgg16 resnet8 resnet14 resnet20 resnet32 resnet56 resnet18 resnet50 densenet squeezenet mobilenet mobilenetv2 mobilenetv3-small efficientnet-b0 ds-cnn vit transformer lstm gru crnn unet autoencoder" ;;
    esac
    if [[ $word == -* ]]; then
        case ${COMP_WORDS[1]} in
            train) words=" --data --output --classes --epochs --batch --loss --outputs --lr --optimizer --weight-decay --decay-all --schedule --warmup --clip-norm --clip-value --accumulate --ema --swa --patience --class-weights --best --train --freeze --unfreeze --deterministic --recompute --keep-zeros --rule --regularize --raw-targets --augment --curriculum --find-lr --find-lr-steps --checkpoint --checkpoint-every --resume --log --tensorboard --log-every --label-smoothing --momentum --no-nesterov --step-every --step-factor --final-rate --dry-run --use-output --output-kind --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --no-validation --no-curves --limit --threads --memory --seed --json --quiet --verbose --help" ;;
            data) words=" --output --array --augment --split --samples --columns --epoch --in-order --no-summary --strict --limit --resize --center-crop --targets --threads --memory --seed --json --quiet --verbose --help" ;;
            plot) words=" --output --figures --x --log-scale --threads --memory --seed --json --quiet --verbose --help" ;;
            inspect) words=" --graph --threads --memory --seed --json --quiet --verbose --help" ;;
            eval) words=" --data --split --batch --limit --no-confusion --resamples --use-output --output-kind --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --threads --memory --seed --json --quiet --verbose --help" ;;
            distill) words=" --teacher --student --data --output --temperature --alpha --epochs --batch --loss --outputs --lr --optimizer --weight-decay --decay-all --schedule --warmup --clip-norm --clip-value --accumulate --ema --swa --patience --class-weights --best --train --freeze --unfreeze --deterministic --recompute --keep-zeros --rule --regularize --raw-targets --augment --curriculum --find-lr --find-lr-steps --checkpoint --checkpoint-every --resume --log --tensorboard --log-every --label-smoothing --momentum --no-nesterov --step-every --step-factor --final-rate --dry-run --use-output --output-kind --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --teacher-mean --teacher-std --teacher-scale --teacher-layout --no-validation --no-curves --limit --threads --memory --seed --json --quiet --verbose --help" ;;
            prune) words=" --output --data --layer --skip --structured --teacher --granularity --macs --params --bytes --latency --lossless --zeros --tolerance --sparsity --criterion --prune-schedule --threshold --threshold-std --per-layer --layer-floor --surgery --surgery-until --distill-alpha --temperature --steps --last-step --finetune --batch --loss --outputs --lr --optimizer --weight-decay --decay-all --schedule --warmup --clip-norm --clip-value --accumulate --ema --swa --patience --class-weights --best --train --freeze --unfreeze --deterministic --recompute --keep-zeros --rule --regularize --raw-targets --augment --curriculum --checkpoint --checkpoint-every --resume --log --tensorboard --log-every --label-smoothing --momentum --no-nesterov --step-every --step-factor --final-rate --dry-run --use-output --output-kind --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --teacher-mean --teacher-std --teacher-scale --teacher-layout --no-validation --no-curves --limit --threads --memory --seed --json --quiet --verbose --help" ;;
            quantize) words=" --data --input --shape --output --dynamic --weights --to --per-tensor --skip --max-drop --calibration --samples --batch --activations --equalize --absorb-bias --bias-correction --input-low --input-high --percentile --dry-run --use-output --output-kind --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --table --threads --memory --seed --json --quiet --verbose --help" ;;
            sensitivity) words=" --data --split --limit --weights-only --skip --use-output --output-kind --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --grids --activations --by --calibration --samples --vectors --batches --threads --memory --seed --json --quiet --verbose --help" ;;
            share) words=" --output --only --skip --hash --tie --data --bits --init --one-codebook --no-keep-zero --plain --finetune --batch --loss --outputs --lr --optimizer --weight-decay --decay-all --schedule --warmup --clip-norm --clip-value --accumulate --ema --swa --patience --class-weights --best --train --freeze --unfreeze --deterministic --recompute --keep-zeros --rule --regularize --raw-targets --augment --curriculum --checkpoint --checkpoint-every --resume --log --tensorboard --log-every --label-smoothing --momentum --no-nesterov --step-every --step-factor --final-rate --dry-run --use-output --output-kind --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --no-validation --no-curves --limit --threads --memory --seed --json --quiet --verbose --help" ;;
            pack) words=" --output --weights --bytes --dry-run --biases --param --coder --strip-names --table --threads --memory --seed --json --quiet --verbose --help" ;;
            unpack) words=" --output --threads --memory --seed --json --quiet --verbose --help" ;;
            run) words=" --input --output --output-dir --reference --no-fusion --threads --memory --seed --json --quiet --verbose --help" ;;
            bench) words=" --batch --runs --seconds --input --shape --top --reference --no-fusion --threads --memory --seed --json --quiet --verbose --help" ;;
            simplify) words=" --output --dry-run --passes --list --batch --shape --features-in-graph --no-check --tolerance --threads --memory --seed --json --quiet --verbose --help" ;;
            explain) words=" --batch --shape --no-fusion --threads --memory --seed --json --quiet --verbose --help" ;;
            compare) words=" --data --layers --names --report --limit --resamples --use-output --output-kind --split --mean --std --scale --layout --resize --center-crop --class-order --skip-bad --targets --seconds --max-drop --max-bytes --min-speedup --threads --memory --seed --json --quiet --verbose --help" ;;
            cost) words=" --batch --shape --no-fusion --table --threads --memory --seed --json --quiet --verbose --help" ;;
            zoo) words=" --sample --classes --vocabulary --output --threads --memory --seed --json --quiet --verbose --help" ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o bashdefault -o default -F _skive skive
