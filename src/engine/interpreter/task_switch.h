#pragma once

#include <cstdint>

namespace mynah::interpreter {

class Core;

enum class TaskSwitchCause : uint8_t { kJump, kCall, kReturn, kEvent };

enum class TaskSwitchResult : uint8_t {
    kDone,
    kFault,           // nothing changed; Core::fault is the old task's
    kFaultInNewTask,  // the switch is complete but for what the fault is about; state.rip is the
                      // new task's first instruction and Core::fault must be delivered there
};

struct TaskSwitch {
    uint16_t selector;  // of the new TSS
    TaskSwitchCause cause;
    uint64_t return_rip;  // where the old task continues
    uint32_t ext = 0;     // 1 in error codes while an event from outside is delivered
    bool push_error_code = false;
    uint32_t error_code = 0;
};

// Hardware task switch [SDM 3A 7.3]. The caller has checked privileges of the descriptor or gate;
// this checks the TSS itself, saves the old task and loads the new one. The debug trap of
// the new task's T flag is in Core::pending_debug.
TaskSwitchResult switch_task(Core& core, const TaskSwitch& request);

}  // namespace mynah::interpreter
