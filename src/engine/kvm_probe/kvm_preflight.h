#pragma once

#include <string>

#include "host/host_files.h"
#include "host/system_calls.h"

namespace mynah {

// What stands between this process and KVM, or nothing.
struct KvmVerdict {
    enum class Kind {
        kUsable,
        kNoNode,             // /dev/kvm is not there though the module is: a container
        kNoRights,           // it may not be opened
        kNoModule,           // the kernel's module is not loaded
        kNoVirtualization,   // the processor does not have it, or firmware switched it off
        kNestedOff,          // this is a guest whose hypervisor does not give it
        kBusy,               // another hypervisor has the processor
        kWrongVersion,       // of the interface
        kMissingCapability,  // by name in `wrong`
        kNoMachine,          // KVM fails to make or run a machine
        kEmulated,           // it works, but without hardware behind it
    };
    Kind kind = Kind::kUsable;
    std::string wrong;    // a line; empty: nothing is
    std::string remedy;   // a line in plain words
    std::string command;  // that would mend it; empty: there is none
    bool usable() const { return kind == Kind::kUsable; }
};

// "no-node", "no-rights", ...: what a program compares.
const char* name_of(KvmVerdict::Kind kind);

// Whether KVM can be used at all; not whether it is fast (kvm_speed.h). Opens the node, asks for
// what the engine needs, and closes it.
KvmVerdict kvm_preflight(SystemCalls& calls, const HostFiles& files);

}  // namespace mynah
