#pragma once

// The files that make up add_system, one per group of instructions.

#include "engine/interpreter/builder.h"
#include "engine/interpreter/core.h"

namespace mynah::interpreter {

void add_system_call(BuilderTable& table);       // SYSCALL SYSRET SYSENTER SYSEXIT SWAPGS
void add_control_register(BuilderTable& table);  // LMSW SMSW CLTS; MOV CR by build_mov_control
void add_descriptor_table(BuilderTable& table);  // LGDT LIDT SGDT SIDT LLDT SLDT LTR STR
void add_segment_query(BuilderTable& table);     // LAR LSL VERR VERW ARPL
void add_msr(BuilderTable& table);               // RDMSR WRMSR RD/WRFSBASE RD/WRGSBASE
void add_identification(BuilderTable& table);    // CPUID RDTSC RDTSCP RDPID RDPMC
void add_cache_control(BuilderTable& table);     // INVLPG INVPCID INVD CLFLUSH PREFETCH fences
void add_hypercall(BuilderTable& table);         // VMCALL VMMCALL
void add_idle(BuilderTable& table);              // HLT PAUSE MONITOR MWAIT
void add_system_management(BuilderTable& table); // RSM

bool build_mov_control(Build& b);
bool build_mov_debug(Build& b);

// Writes CR0 with all checks and consequences; false: #GP, nothing changed.
bool write_cr0(Core& core, uint64_t value);

// Most instructions here: privileged, #GP(0) otherwise.
inline bool privileged(Core& core) { return core.s.cpl() == 0 || core.raised(Exception::gp()); }

// A builder for handlers that need nothing but the op itself.
template <Handler kHandler>
bool build_plain_op(Build& b) {
    return b.done(kHandler);
}
template <Handler kHandler>
bool build_ending_op(Build& b) {
    return b.done_ending_block(kHandler);
}

}  // namespace mynah::interpreter
