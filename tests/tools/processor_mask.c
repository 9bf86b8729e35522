// SPDX-License-Identifier: Apache-2.0
// Hides instruction sets from a process and from those that it starts with its environment: CPUID faults
// (arch_prctl(ARCH_SET_CPUID)), and the handler answers as a processor would that lacks them. What is left runs at its
// real speed, in every library of the process. Linux with glibc on x86-64, where /proc/cpuinfo lists cpuid_fault:
//
//     cc -O2 -shared -fPIC -o processor_mask.so tests/tools/processor_mask.c
//     LD_PRELOAD=$PWD/processor_mask.so PROCESSOR_MASK=avx512,avxvnni hqdit bench emoji-desktop
//
// PROCESSOR_MASK lists what to hide: amx, avx512vbmi, avx512 (all of it, and AMX), avxvnni. The dynamic loader and the
// libraries that a program is linked with start before this and see everything: the C library's string functions stay
// those of the real processor. What is imported or opened later sees the mask.
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (UINT32_C(1) << (n))

enum { EAX, EBX, ECX, EDX };

struct feature_bits {
  const char* name;
  uint32_t leaf, subleaf;
  int reg;
  uint32_t bits;
};

static const struct feature_bits kFeatures[] = {
    {"amx", 0x7, 0, EDX, BIT(22) | BIT(24) | BIT(25)},  // BF16, TILE, INT8
    {"amx", 0x7, 1, EAX, BIT(21)},                      // FP16
    {"amx", 0x7, 1, EDX, BIT(8)},                       // COMPLEX
    {"amx", 0xD, 0, EAX, BIT(17) | BIT(18)},            // state that the system saves
    {"avx512vbmi", 0x7, 0, ECX, BIT(1) | BIT(6)},       // VBMI, VBMI2
    // F, DQ, IFMA, PF, ER, CD, BW, VL
    {"avx512", 0x7, 0, EBX, BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)},
    {"avx512", 0x7, 0, ECX, BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)},  // VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ
    {"avx512", 0x7, 0, EDX, BIT(2) | BIT(3) | BIT(8) | BIT(23)},             // 4VNNIW, 4FMAPS, VP2INTERSECT, FP16
    {"avx512", 0x7, 1, EAX, BIT(5)},                                         // BF16
    {"avx512", 0x7, 1, EDX, BIT(19)},                                        // AVX10
    {"avx512", 0xD, 0, EAX, BIT(5) | BIT(6) | BIT(7)},
    {"avxvnni", 0x7, 1, EAX, BIT(4) | BIT(23)},           // VNNI, IFMA
    {"avxvnni", 0x7, 1, EDX, BIT(4) | BIT(5) | BIT(10)},  // VNNI-INT8, NE-CONVERT, VNNI-INT16
};
enum { kFeatureCount = sizeof kFeatures / sizeof *kFeatures };

static int hidden[kFeatureCount];
static int masking;
static struct sigaction behind;  // what the program wants to happen on SIGSEGV

static __typeof__(sigaction)* real_sigaction;
static __typeof__(sigprocmask)* real_sigprocmask;
static __typeof__(pthread_sigmask)* real_pthread_sigmask;

// Once before there are threads; earlier where another library's start already asks for a handler.
static void find_real(void) {
  if (real_sigaction) return;
  *(void**)&real_pthread_sigmask = dlsym(RTLD_NEXT, "pthread_sigmask");
  *(void**)&real_sigprocmask = dlsym(RTLD_NEXT, "sigprocmask");
  *(void**)&real_sigaction = dlsym(RTLD_NEXT, "sigaction");
}

static long set_faulting(int on) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, (unsigned long)!on); }

static void answer(greg_t* regs) {
  const uint32_t leaf = (uint32_t)regs[REG_RAX];
  const uint32_t subleaf = (uint32_t)regs[REG_RCX];
  uint32_t out[4];
  set_faulting(0);
  __cpuid_count(leaf, subleaf, out[EAX], out[EBX], out[ECX], out[EDX]);
  set_faulting(1);
  for (int i = 0; i < kFeatureCount; ++i) {
    const struct feature_bits* f = &kFeatures[i];
    if (hidden[i] && f->leaf == leaf && f->subleaf == subleaf) out[f->reg] &= ~f->bits;
  }
  regs[REG_RAX] = out[EAX];
  regs[REG_RBX] = out[EBX];
  regs[REG_RCX] = out[ECX];
  regs[REG_RDX] = out[EDX];
  regs[REG_RIP] += 2;
}

// Does what the kernel would have done, but for SA_NODEFER: a fault in the program's handler comes to it again.
static void pass_on(int number, siginfo_t* info, void* context) {
  const struct sigaction wanted = behind;
  const int sent = info->si_code <= 0;  // by kill or raise, not by an instruction
  if (wanted.sa_handler == SIG_IGN && sent) return;
  if (wanted.sa_handler == SIG_DFL || wanted.sa_handler == SIG_IGN) {
    const struct sigaction end = {.sa_handler = SIG_DFL};
    real_sigaction(SIGSEGV, &end, NULL);
    raise(SIGSEGV);
  }
  if (wanted.sa_flags & (int)SA_RESETHAND) behind.sa_handler = SIG_DFL;
  pthread_sigmask(SIG_BLOCK, &wanted.sa_mask, NULL);  // until our own handler's return
  if (wanted.sa_flags & SA_SIGINFO) {
    wanted.sa_sigaction(number, info, context);
  } else {
    wanted.sa_handler(number);
  }
}

static void on_fault(int number, siginfo_t* info, void* context) {
  greg_t* regs = ((ucontext_t*)context)->uc_mcontext.gregs;
  // A general protection fault, which has no address. The two bytes can be read, since the processor has read them.
  const unsigned char* code = (const unsigned char*)regs[REG_RIP];
  if (info->si_code == SI_KERNEL && code[0] == 0x0F && code[1] == 0xA2) {
    answer(regs);
  } else {
    pass_on(number, info, context);
  }
}

/// The program's own handlers of SIGSEGV, Python's faulthandler among them, run behind ours.
int sigaction(int number, const struct sigaction* action, struct sigaction* old) {
  find_real();
  if (!masking || number != SIGSEGV) return real_sigaction(number, action, old);
  const struct sigaction before = behind;
  if (action) behind = *action;
  if (old) *old = before;
  return 0;
}

// The C library's does not call the function above.
sighandler_t signal(int number, sighandler_t handler) {
  const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  struct sigaction old;
  return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

// A fault in a thread that blocks SIGSEGV would end the process, so no thread does.
static const sigset_t* without_faults(const sigset_t* set, sigset_t* copy) {
  if (!masking || !set) return set;
  *copy = *set;
  sigdelset(copy, SIGSEGV);
  return copy;
}

int sigprocmask(int how, const sigset_t* set, sigset_t* old) {
  sigset_t copy;
  find_real();
  return real_sigprocmask(how, without_faults(set, &copy), old);
}

int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) {
  sigset_t copy;
  find_real();
  return real_pthread_sigmask(how, without_faults(set, &copy), old);
}

static int hide(const char* name, size_t length) {
  int known = 0;
  for (int i = 0; i < kFeatureCount; ++i) {
    if (strlen(kFeatures[i].name) == length && strncmp(kFeatures[i].name, name, length) == 0) known = hidden[i] = 1;
  }
  if (length == strlen("avx512") && strncmp(name, "avx512", length) == 0) hide("amx", strlen("amx"));
  return known;
}

static void refuse(const char* reason) {
  fprintf(stderr, "PROCESSOR_MASK=%s: %s\n", getenv("PROCESSOR_MASK"), reason);
  _exit(2);
}

__attribute__((constructor)) static void mask(void) {
  const char* name = getenv("PROCESSOR_MASK");
  if (!name || !*name) return;
  for (size_t length = 0;; name += length + 1) {
    length = strcspn(name, ",");
    if (!hide(name, length)) refuse("the names are amx, avx512vbmi, avx512, avxvnni, with commas between them");
    if (!name[length]) break;
  }
  find_real();
  const struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  real_sigaction(SIGSEGV, &ours, &behind);
  masking = 1;
  sigset_t faults;
  sigemptyset(&faults);
  sigaddset(&faults, SIGSEGV);
  real_sigprocmask(SIG_UNBLOCK, &faults, NULL);  // a program inherits what is blocked
  if (set_faulting(1) != 0) refuse("this processor cannot make CPUID fault");
}
