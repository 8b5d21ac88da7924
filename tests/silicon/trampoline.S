// Swaps the registers of a test case in. silicon_enter(HostFrame*) comes back through silicon_exit,
// where the signal handler sends it.
// Offsets are those of HostFrame in host_runner.cpp, which checks them.

    .intel_syntax noprefix
    .text

    .globl silicon_enter
    .type silicon_enter, @function
silicon_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [rdi + 192], rsp
    mov ax, [rdi + 176]
    mov ds, ax
    mov es, ax
    mov eax, 7
    xor edx, edx
    mov rsi, [rdi + 200]
    xrstor64 [rsi]
    push [rdi + 168]            // SS
    push [rdi + 32]             // RSP
    push [rdi + 136]            // RFLAGS
    push [rdi + 160]            // CS
    push [rdi + 128]            // RIP
    mov rax, [rdi + 0]
    mov rcx, [rdi + 8]
    mov rdx, [rdi + 16]
    mov rbx, [rdi + 24]
    mov rbp, [rdi + 40]
    mov rsi, [rdi + 48]
    mov r8, [rdi + 64]
    mov r9, [rdi + 72]
    mov r10, [rdi + 80]
    mov r11, [rdi + 88]
    mov r12, [rdi + 96]
    mov r13, [rdi + 104]
    mov r14, [rdi + 112]
    mov r15, [rdi + 120]
    mov rdi, [rdi + 56]
    iretq
    .size silicon_enter, . - silicon_enter

    .globl silicon_exit
    .type silicon_exit, @function
silicon_exit:
    push 0x202                  // sigreturn keeps NT and ID
    popfq
    xor eax, eax
    mov ds, ax
    mov es, ax
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .size silicon_exit, . - silicon_exit

// What signals enter: the kernel leaves AC as the test had it, which compiled code cannot bear.
    .globl silicon_signal
    .type silicon_signal, @function
silicon_signal:
    pushfq
    and dword ptr [rsp], ~0x40000
    popfq
    jmp silicon_on_signal
    .size silicon_signal, . - silicon_signal

    .section .note.GNU-stack, "", @progbits
