# Guest programs of engine_bench: position-independent 64-bit code that ends with HLT. %rcx is the
# number of rounds, %rdi the start of 16 MiB of data.

.macro PROGRAM name
    .globl bench_\name\()_begin, bench_\name\()_end
bench_\name\()_begin:
.endm
.macro END name
    hlt
bench_\name\()_end:
.endm

    .section .rodata
PROGRAM integer
1:  lea (%rax,%rcx), %rax
    xor %rcx, %rax
    shr $3, %rdx
    add %rax, %rdx
    imul $31, %rdx, %rdx
    dec %rcx
    jnz 1b
END integer

PROGRAM memory
1:  mov %rcx, %rsi
    and $0xfff, %esi
    mov (%rdi,%rsi,8), %rax
    add %rcx, %rax
    mov %rax, 8(%rdi,%rsi,8)
    dec %rcx
    jnz 1b
END memory

PROGRAM calls
    lea 0x8000(%rdi), %rsp
1:  call 2f
    dec %rcx
    jnz 1b
    hlt
2:  push %rbx
    mov %rcx, %rbx
    pop %rbx
    ret
END calls

PROGRAM tlb_misses
1:  mov %rcx, %rsi
    and $0xfff, %esi
    shl $12, %rsi
    mov (%rdi,%rsi), %rax
    dec %rcx
    jnz 1b
END tlb_misses

PROGRAM vector
    movsd (%rdi), %xmm1
1:  mulsd %xmm1, %xmm0
    addpd %xmm0, %xmm2
    movupd 16(%rdi), %xmm3
    movupd %xmm3, 32(%rdi)
    dec %rcx
    jnz 1b
END vector

PROGRAM x87
    fninit
    fldz
1:  fld1
    faddp
    dec %rcx
    jnz 1b
END x87

PROGRAM copy
1:  mov %rcx, %rbx
    mov %rdi, %r8
    lea 0x100000(%rdi), %rsi
    mov $4096, %ecx
    rep movsb
    mov %r8, %rdi
    mov %rbx, %rcx
    dec %rcx
    jnz 1b
END copy

    .section .note.GNU-stack,"",@progbits
