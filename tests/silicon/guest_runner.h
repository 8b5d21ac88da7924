#pragma once

#include <functional>
#include <memory>

#include "cpu/cpuid_policy.h"
#include "engine/engine.h"
#include "silicon/case.h"

namespace mynah::silicon {

using EngineFactory =
    std::function<Result<std::unique_ptr<Engine>>(GuestMemory& memory, const CpuidPolicy& policy)>;

// Runs cases as user-mode code of a guest on some engine. The test areas are mapped at the same
// linear addresses as on the host; a small kernel consists of an IDT whose every handler is HLT.
//
// An instruction ends in one of two ways, in turn: as part of a block, followed by INT3, or by a
// single-step trap.
Result<std::unique_ptr<Runner>> make_guest_runner(const EngineFactory& factory,
                                                  const CpuidPolicy& policy);

}  // namespace mynah::silicon
